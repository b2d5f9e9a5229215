"""OpenAI's Responses API on the way in, a pure translator: `request.read` reads it."""
