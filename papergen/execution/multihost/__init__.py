"""One run-exp on several machines over a TCP protocol of papergen's own: node 0 decides, the others follow."""
