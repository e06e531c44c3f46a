"""What each lesson brings along as ``ours``: its pictures, and the functions that `check` compares an answer with."""
