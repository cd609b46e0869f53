"""Rules of every driver: checks of arguments, entities, and the outcomes of workflows."""
