"""Where files lie that training looks for elsewhere: one module a kind of place. `diagnosis.places` asks them."""
