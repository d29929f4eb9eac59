    return { globals, isResponse, headersObject, answer, adapt };
  };
})(globalThis);
