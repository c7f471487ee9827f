"""What a node has received and made: the queue, files, and when a series is complete."""
