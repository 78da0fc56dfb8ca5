"""The page: JavaScript modules, style sheets and libraries, and what joins them to one script."""
