"""Operations that Keras alone has, or has with a meaning of its own."""
