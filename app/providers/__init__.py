"""Those who make the pictures. They know no Flask, no SQL and no Redis."""
