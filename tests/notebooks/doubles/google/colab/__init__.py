"""A Colab machine in small: what the notebook needs of `google.colab`, acting on folders that a test names."""
