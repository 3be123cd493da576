"""The generator: integer model and target in, program, memory images, Verilog and report out; and the command line."""
