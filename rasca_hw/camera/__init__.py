"""Camera front end: from a sensor's pins or AXI4-Stream video to the accelerator's pixels."""
