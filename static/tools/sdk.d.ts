/** What the editor completes: the names by the expression that they are members of. */
export function completions(source: string): Record<string, { name: string; type: string; detail: string; doc: string }[]>;
