import { HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { EditorView } from '@codemirror/view';
import { tags as t } from '@lezer/highlight';

// All colours are the design system's variables, so one theme serves light and dark.
export const look = [
  EditorView.theme({
    '&': { backgroundColor: 'var(--surface)', color: 'var(--text)', fontSize: '13.5px', height: '100%' },
    '&.cm-focused': { outline: 'none' },
    '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.6' },
    '.cm-content': { caretColor: 'var(--accent)', padding: '10px 0' },
    '.cm-cursor': { borderLeftColor: 'var(--accent)' },
    '.cm-gutters': { backgroundColor: 'var(--surface)', color: 'var(--muted)', border: '0', paddingLeft: '6px' },
    '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--accent) 5%, transparent)' },
    '.cm-activeLineGutter': { backgroundColor: 'transparent', color: 'var(--text)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
      backgroundColor: 'color-mix(in srgb, var(--accent) 24%, transparent)',
    },
    '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--accent-soft)', outline: '1px solid var(--accent)' },
    '.cm-tooltip': {
      backgroundColor: 'var(--surface)',
      border: '1px solid var(--line)',
      borderRadius: '8px',
      boxShadow: 'var(--shadow-high)',
      overflow: 'hidden',
    },
    '.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', fontSize: '13px', maxHeight: '15em' },
    '.cm-tooltip-autocomplete > ul > li': { padding: '3px 10px' },
    '.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--accent-soft)', color: 'var(--text)' },
    '.cm-completionDetail': { color: 'var(--muted)', fontStyle: 'normal', marginLeft: '10px' },
    '.cm-completionInfo': { padding: '8px 10px', maxWidth: '380px', fontFamily: 'var(--sans)', whiteSpace: 'pre-wrap' },
    '.cm-diagnostic-error': { borderLeftColor: 'var(--danger)' },
    '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--danger)', textUnderlineOffset: '3px' },
    '.cm-lint-marker-error': { content: '""', width: '10px', height: '10px', borderRadius: '5px', backgroundColor: 'var(--danger)' },
    '.cm-panels': { backgroundColor: 'var(--sunken)', color: 'var(--text)', borderColor: 'var(--line)' },
    '.cm-panels input[type=text], .cm-panels button': {
      font: '13px var(--sans)',
      minHeight: '28px',
      padding: '2px 8px',
      border: '1px solid var(--line-strong)',
      borderRadius: '6px',
      background: 'var(--surface)',
      color: 'var(--text)',
    },
    '.cm-panels label': { font: '13px var(--sans)' },
    '.cm-pointed': { backgroundColor: 'var(--danger-soft)' },
    '.cm-deletedChunk': { backgroundColor: 'var(--danger-soft)' },
    '.cm-changedLine, .cm-insertedLine': { backgroundColor: 'var(--ok-soft)' },
    '.cm-changedText': { background: 'color-mix(in srgb, var(--ok) 10%, transparent)' },
    '.cm-deletedChunk .cm-deletedText': { background: 'color-mix(in srgb, var(--danger) 8%, transparent)' },
    '.cm-collapsedLines': { color: 'var(--muted)', background: 'var(--sunken)' },
  }),
  syntaxHighlighting(
    HighlightStyle.define([
      { tag: [t.keyword, t.modifier, t.operatorKeyword], color: 'var(--code-keyword)' },
      { tag: [t.string, t.special(t.string), t.regexp], color: 'var(--code-string)' },
      { tag: [t.number, t.bool, t.null, t.atom], color: 'var(--code-number)' },
      { tag: t.comment, color: 'var(--code-comment)', fontStyle: 'italic' },
      { tag: [t.function(t.variableName), t.function(t.propertyName), t.className], color: 'var(--code-name)' },
      { tag: t.invalid, color: 'var(--danger)' },
    ]),
  ),
];
