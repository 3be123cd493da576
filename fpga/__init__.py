"""Boards, demo tops, the flow to a bitstream, host tools and the tool finder."""
