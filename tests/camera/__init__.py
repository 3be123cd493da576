"""Tests of the camera front end: units, pins to result, real time, faults."""
