"""One folder a layer: the program and the settings of one kind of stack."""
