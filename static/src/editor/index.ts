// The code editor. Everything of CodeMirror is behind this file, which is loaded when the
// first editor is shown.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { javascript, javascriptLanguage } from '@codemirror/lang-javascript';
import { json, jsonParseLinter } from '@codemirror/lang-json';
import { bracketMatching, foldKeymap, indentOnInput } from '@codemirror/language';
import { linter, lintGutter, setDiagnostics, type Diagnostic } from '@codemirror/lint';
import { unifiedMergeView } from '@codemirror/merge';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { Compartment, EditorState, StateEffect, StateField } from '@codemirror/state';
import {
  Decoration,
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
  type DecorationSet,
} from '@codemirror/view';
import { completeSdk } from './complete';
import { look } from './theme';

export interface EditorOptions {
  parent: HTMLElement;
  text: string;
  language: 'javascript' | 'json';
  label: string;
  readOnly: boolean;
  change: (text: string) => void;
  save?: () => void;
}

export interface Editor {
  text(): string;
  setText(text: string): void;
  setReadOnly(yes: boolean): void;
  /** Marks an error at line and column, both from 1, and shows it. */
  mark(line: number, column: number, message: string): void;
  unmark(): void;
  /** Shows a line, lit up. */
  point(line: number, column?: number): void;
  focus(): void;
  destroy(): void;
}

const setPointed = StateEffect.define<number>();

const pointed = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(value, tr) {
    for (const e of tr.effects) if (e.is(setPointed)) return Decoration.set([Decoration.line({ class: 'cm-pointed' }).range(e.value)]);
    return tr.docChanged ? Decoration.none : value;
  },
  provide: (f) => EditorView.decorations.from(f),
});

const base = [
  lineNumbers(),
  highlightActiveLineGutter(),
  drawSelection(),
  highlightActiveLine(),
  bracketMatching(),
  highlightSelectionMatches(),
  EditorState.tabSize.of(2),
  look,
];

/**
 * CodeMirror makes its styles at run time. In a document it would write <style> elements,
 * which the dashboard's content security policy refuses; in a shadow root it adopts
 * constructed style sheets, which are allowed.
 */
const shadow = (parent: HTMLElement) => parent.attachShadow({ mode: 'open' });

/** Each parent can hold one editor in its life. */
export function createEditor(o: EditorOptions): Editor {
  const root = shadow(o.parent);
  const writable = new Compartment();
  const write = (readOnly: boolean) => EditorState.readOnly.of(readOnly);
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: o.text,
      extensions: [
        ...base,
        history(),
        closeBrackets(),
        indentOnInput(),
        pointed,
        lintGutter(),
        o.language === 'json' ? [json(), linter(jsonParseLinter())] : [javascript(), javascriptLanguage.data.of({ autocomplete: completeSdk })],
        autocompletion({ icons: false }),
        writable.of(write(o.readOnly)),
        EditorView.contentAttributes.of({ 'aria-label': o.label, tabindex: '0' }),
        EditorView.updateListener.of((u) => u.docChanged && o.change(u.state.doc.toString())),
        keymap.of([
          { key: 'Mod-s', preventDefault: true, run: () => (o.save?.(), true) },
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...searchKeymap,
          ...historyKeymap,
          ...foldKeymap,
          ...completionKeymap,
          indentWithTab,
        ]),
      ],
    }),
  });
  const offset = (line: number, column: number) => {
    const l = view.state.doc.line(Math.min(Math.max(1, line), view.state.doc.lines));
    return Math.min(l.to, l.from + Math.max(0, column - 1));
  };
  const reveal = (at: number) => view.dispatch({ selection: { anchor: at }, effects: EditorView.scrollIntoView(at, { y: 'center' }) });
  return {
    text: () => view.state.doc.toString(),
    setText(text) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
    },
    setReadOnly: (yes) => view.dispatch({ effects: writable.reconfigure(write(yes)) }),
    mark(line, column, message) {
      const from = offset(line, column);
      const to = Math.max(from, Math.min(view.state.doc.lineAt(from).to, from + 1));
      const error: Diagnostic = { from, to, severity: 'error', message };
      view.dispatch(setDiagnostics(view.state, [error]));
      reveal(from);
    },
    unmark: () => view.dispatch(setDiagnostics(view.state, [])),
    point(line, column = 1) {
      const at = offset(line, column);
      view.dispatch({ effects: setPointed.of(view.state.doc.lineAt(at).from) });
      reveal(at);
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}

/** Shows what changed from one text to another. */
export function createDiff(parent: HTMLElement, from: string, to: string, label: string): () => void {
  const root = shadow(parent);
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: to,
      extensions: [
        ...base,
        javascript(),
        EditorState.readOnly.of(true),
        EditorView.contentAttributes.of({ 'aria-label': label, tabindex: '0' }),
        unifiedMergeView({ original: from, mergeControls: false, gutter: true, collapseUnchanged: { margin: 4, minSize: 8 } }),
      ],
    }),
  });
  return () => view.destroy();
}
