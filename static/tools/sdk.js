// Reads picloud.d.ts and gives the editor what it completes: names by the expression they
// are members of ("" the globals, "kv.collection()" what that call gives).
import ts from 'typescript';

const maxDepth = 4;

/** @param {string} source text of picloud.d.ts */
export function completions(source) {
  const file = 'picloud.d.ts';
  const parsed = ts.createSourceFile(file, source, ts.ScriptTarget.ES2022, true);
  const options = { lib: ['lib.es2023.d.ts'], types: [], target: ts.ScriptTarget.ES2022 };
  const host = ts.createCompilerHost(options);
  const fromDisk = host.getSourceFile.bind(host);
  host.getSourceFile = (name, ...rest) => (name === file ? parsed : fromDisk(name, ...rest));
  const program = ts.createProgram([file], options, host);
  const checker = program.getTypeChecker();
  const out = { '': [] };

  const oneLine = (text) => text.replace(/\s+/g, ' ');
  const short = (text) => (text.length > 60 ? text.slice(0, 59) + '…' : text);
  // The shape of an object is shown by its members.
  const flat = (type) => oneLine(checker.typeToString(type)).replace(/^(\{|typeof ).*/, '');

  function describe(symbol, node) {
    const type = checker.getTypeOfSymbolAtLocation(symbol, node);
    const call = type.getCallSignatures()[0];
    return {
      entry: {
        name: symbol.getName(),
        type: call ? 'function' : symbol.flags & ts.SymbolFlags.Class ? 'class' : 'property',
        detail: short(call ? oneLine(checker.signatureToString(call)) : flat(type)),
        doc: ts.displayPartsToString(symbol.getDocumentationComment(checker)),
      },
      type,
      call,
    };
  }

  function members(path, type, node, depth) {
    if (depth > maxDepth || path in out) return;
    const concrete = checker.getNonNullableType(type);
    const shapes = concrete.isUnion() ? concrete.types : [concrete];
    const ours = new Map();
    for (const p of shapes.flatMap((s) => s.getProperties())) {
      if (/^[\w$]+$/.test(p.getName()) && p.declarations?.some((d) => d.getSourceFile() === parsed)) ours.set(p.getName(), p);
    }
    if (!ours.size) return;
    out[path] = [];
    for (const p of ours.values()) add(path, p, node, depth);
  }

  function add(path, symbol, node, depth) {
    const { entry, type, call } = describe(symbol, node);
    out[path].push(entry);
    const here = path ? `${path}.${entry.name}` : entry.name;
    if (call) members(here + '()', call.getReturnType(), node, depth + 1);
    else members(here, type, node, depth + 1);
  }

  const globals = [];
  function collect(statements) {
    for (const s of statements) {
      if (ts.isVariableStatement(s)) for (const d of s.declarationList.declarations) globals.push(d.name);
      else if ((ts.isFunctionDeclaration(s) || ts.isClassDeclaration(s) || ts.isModuleDeclaration(s)) && s.name) {
        if (ts.isModuleDeclaration(s) && s.name.text === 'global' && s.body) collect(s.body.statements);
        else globals.push(s.name);
      }
    }
  }
  collect(parsed.statements);
  const seen = new Set();
  for (const name of globals) {
    const symbol = checker.getSymbolAtLocation(name);
    if (!symbol || seen.has(symbol.getName())) continue;
    seen.add(symbol.getName());
    add('', symbol, name, 0);
  }

  // A handler's parameter has no declaration of its own: it is called ctx everywhere.
  for (const s of parsed.statements) {
    if (ts.isInterfaceDeclaration(s) && s.name.text === 'Context') {
      const type = checker.getTypeAtLocation(s);
      out[''].push({ name: 'ctx', type: 'variable', detail: s.name.text, doc: 'What the handler is given.' });
      members('ctx', type, s, 0);
    }
  }
  return out;
}
