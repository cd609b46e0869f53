"""The clauses of the contract, in the fewest words: what a report calls them.

The contract itself is `docs/contract.md` of the project; a test keeps the numbers the same. A case
that is about a section as a whole, such as the random calls, says the section's number.
"""

CLAUSES = {
    "1": "Values",
    "1.1": "Ids and names",
    "1.2": "Documents",
    "1.3": "What is written is what is read",
    "1.4": "Anything else is refused",
    "1.5": "Times",
    "1.6": "Order",
    "1.7": "Large documents",
    "1.8": "Copies",
    "2": "Versions and compare-and-set",
    "2.1": "Versions count writes",
    "2.2": "create",
    "2.3": "update",
    "2.4": "upsert",
    "2.5": "Of concurrent updates one wins",
    "2.6": "modify",
    "2.7": "merge_usage loses nothing",
    "2.8": "What never changes",
    "2.9": "restore",
    "3": "Transactions",
    "3.1": "All writes or none",
    "3.2": "Rollback and savepoints",
    "3.3": "Going on after an error",
    "3.4": "Isolation",
    "3.5": "get_for_update, and the end",
    "3.6": "What was acknowledged survives",
    "3.7": "run",
    "4": "Users and API keys",
    "4.1": "Emails and roles",
    "4.2": "The first admin",
    "4.3": "Keys belong to users",
    "4.4": "Fingerprints, prefixes, last use",
    "5": "Workflow states",
    "5.1": "A state and its tasks",
    "5.2": "Lists and pages",
    "5.3": "The latest execution",
    "5.4": "set_status and its guards",
    "5.5": "complete",
    "5.6": "delete and purge",
    "6": "Task states",
    "6.1": "Workflow and parent",
    "6.2": "Who runs a task",
    "6.3": "Lists and filters",
    "6.4": "Children and workflows",
    "6.5": "Trees",
    "6.6": "Progress",
    "6.7": "Usage alone",
    "7": "Usage summaries",
    "8": "Migrations",
    "8.1": "Numbered steps",
    "8.2": "Many processes at once",
    "8.3": "status, plan, up, down, verify",
    "8.4": "Other schemas are refused",
    "9": "Store",
    "9.1": "Threads, forks, closing",
    "9.2": "What is unavailable says so",
    "9.3": "The asynchronous face",
    "9.4": "Health",
    "9.5": "Capabilities",
    "9.6": "Interrupts",
    "10": "Claims",
    "10.1": "What is claimed",
    "10.2": "One claim at a time",
    "10.3": "Leases and lost claims",
    "10.4": "finish",
    "10.5": "release",
    "10.6": "What ends a claim",
    "10.7": "cancel, and what has ended",
    "10.8": "Queues",
    "10.9": "Claims of restored tasks",
    "11": "Events",
    "11.1": "append",
    "11.2": "Keys",
    "11.3": "Lists of events",
    "11.4": "Events in transactions and exports",
    "11.5": "Changes of a status",
    "12": "Waiting",
    "12.1": "Waiting for a status",
    "12.2": "Waiting for events",
    "12.3": "Following events",
    "12.4": "Waiting for a claim",
    "12.5": "No change is missed",
    "12.6": "Where nobody waits",
}
"""By number, in the order of the contract."""


def is_clause(number: str) -> bool:
    """Whether it is a clause and not a section that has clauses."""
    return "." in number or not any(other.startswith(f"{number}.") for other in CLAUSES)


def is_in(number: str, section: str) -> bool:
    """Whether `number` is the clause or section `section`, or a clause of it."""
    return f"{number}.".startswith(f"{section}.")


def clauses_of(number: str) -> list[str]:
    """The clause, or the section with all its clauses. Raises `ValueError` where there is none."""
    if number in CLAUSES:
        return [known for known in CLAUSES if is_in(known, number)]
    section = number.partition(".")[0]
    inside = [known for known in CLAUSES if known.startswith(f"{section}.")]
    if inside:
        there = f"section {section} has {inside[0]} to {inside[-1]}"
    elif section in CLAUSES:
        there = f"section {section} has none of its own"
    else:
        sections = [known for known in CLAUSES if "." not in known]
        there = f"its sections are {sections[0]} to {sections[-1]}"
    raise ValueError(f"{number} is no clause of the contract; {there}")
