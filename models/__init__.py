"""What a model is: a verified bundle on disk, and the classifier that turns a text into a Prediction."""
