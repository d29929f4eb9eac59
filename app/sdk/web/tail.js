    return { globals, isResponse, answer, adapt };
  };
})(globalThis);
