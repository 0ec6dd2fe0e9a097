"""The one network: log-mel front end, convolutional trunk, segmentation and embedding heads."""
