"""Where anybody may trade by a transaction: what each venue is asked, how it is called, and what its receipts say. Pure.

Amounts here are whole units of a token, as the chain counts them; `amounts` leads from there to the books and back.
"""
