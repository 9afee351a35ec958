"""The ledger: every prediction, every label and every decision, kept where nothing else can lose them.

The service is `python -m turnout.ledger`; programs speak to it through `turnout.ledger.client`. Importing this
package imports neither, so that a client pays for no server.
"""
