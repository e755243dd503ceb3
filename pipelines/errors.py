"""The one error that a user can mend."""


class UserError(Exception):
    """Something outside the code is wrong: the message says in one line what, where, what is allowed, what to do.

    The command line prints the message without a traceback and exits with status 1.
    """
