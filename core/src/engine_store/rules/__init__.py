"""What every driver keeps: checks of arguments, entities, and the outcomes of workflows."""
