"""Everything done with one paper: scaffold, assemble, build, check, cite, trace, share and watch."""
