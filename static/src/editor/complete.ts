import { snippetCompletion, type Completion, type CompletionContext, type CompletionResult } from '@codemirror/autocomplete';
import sdk from 'virtual:picloud-sdk';

/** One name of the SDK, read from picloud.d.ts at build time. */
export interface SdkName {
  name: string;
  /** "function", "property", "namespace", … */
  type: string;
  detail: string;
  doc: string;
}

const options = (path: string): Completion[] =>
  (sdk[path] ?? []).map((n) => ({ label: n.name, type: n.type, detail: n.detail, info: n.doc || undefined }));

const keywords =
  'async await break case catch class const continue default delete else export extends finally for function if in instanceof let new of return static super switch this throw try typeof undefined null true false while yield'
    .split(' ')
    .map((label): Completion => ({ label, type: 'keyword', boost: -2 }));

const snippets = [
  snippetCompletion('export default function (ctx) {\n  ${}\n}', { label: 'handler', detail: 'a function that answers', type: 'text' }),
  snippetCompletion('throw new HttpError(${400}, { message: "${}" });', { label: 'HttpError', detail: 'answer a status', type: 'text' }),
  snippetCompletion('kv.collection("${name}")', { label: 'kv.collection', detail: 'keys and values', type: 'text' }),
];

/** Completes the SDK's names: globals, ctx and its parts, and what collections offer. */
export function completeSdk(context: CompletionContext): CompletionResult | null {
  const member = context.matchBefore(/[\w$]+(?:\([^()]*\))?(?:\??\.[\w$]+(?:\([^()]*\))?)*\??\.[\w$]*/);
  if (member) {
    const dot = member.text.lastIndexOf('.');
    const path = typePath(member.text.slice(0, dot).replace(/\?$/, ''), context.state.doc.toString());
    const found = path === undefined ? [] : options(path);
    return found.length ? { from: member.from + dot + 1, options: found, validFor: /^[\w$]*$/ } : null;
  }
  const word = context.matchBefore(/[\w$]+/);
  if (!word && !context.explicit) return null;
  return { from: word?.from ?? context.pos, options: [...options(''), ...keywords, ...snippets, ...locals(context)], validFor: /^[\w$]*$/ };
}

/** The path in the SDK of an expression: "ctx.request" itself, and the type of what a call gives. */
function typePath(expression: string, source: string): string | undefined {
  const e = expression.replace(/\?\./g, '.');
  const plain = e.replace(/\([^()]*\)/g, '()');
  if (plain in sdk) return plain;
  // A variable made by a call: const visits = kv.collection("visits").
  if (/^[\w$]+$/.test(e)) {
    const made = new RegExp(`(?:const|let|var)\\s+${e.replace(/\$/g, '\\$')}\\s*=\\s*([\\w$.]+\\([^()]*\\))`).exec(source);
    if (made) return typePath(made[1], source);
  }
  return undefined;
}

function locals(context: CompletionContext): Completion[] {
  const names = new Set<string>();
  for (const m of context.state.doc.toString().matchAll(/(?:const|let|var|function)\s+([\w$]{2,})/g)) names.add(m[1]);
  return [...names].map((label) => ({ label, type: 'variable' }));
}
