"""One `papergen run-exp`: which trial starts when, what runs it, who watches over it, and what is recorded."""
