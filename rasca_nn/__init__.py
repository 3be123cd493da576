"""RaScaNet in PyTorch: the float network, its training, its quantisation and the integer model."""
