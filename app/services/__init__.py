"""What Atelier does: one verb, one file. Services own the transaction and know neither Flask nor RQ."""
