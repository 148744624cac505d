"""From texts to logits: features, tokens, networks, the linear SVM."""
