"""The waist: one small graph language. Everything above builds graphs; every engine below runs them."""
