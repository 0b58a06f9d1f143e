"""What people read: results.json, pages and figures, the terminal. No torch."""
