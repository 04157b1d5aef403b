"""The bundled mail relay: accepts, keeps, delivers, retries, returns, hands out."""
