import { svelte } from '@sveltejs/vite-plugin-svelte';
import { readFileSync } from 'node:fs';
import { defineConfig, type Plugin } from 'vite';
import { completions } from './tools/sdk.js';

const types = new URL('./src/editor/picloud.d.ts', import.meta.url);

/** Gives the editor the names of the SDK, from the same file that scripts are checked against. */
function sdk(): Plugin {
  const id = 'virtual:picloud-sdk';
  return {
    name: 'picloud-sdk',
    resolveId: (source) => (source === id ? '\0' + id : undefined),
    load(resolved) {
      if (resolved !== '\0' + id) return undefined;
      this.addWatchFile(types.pathname);
      return 'export default ' + JSON.stringify(completions(readFileSync(types, 'utf8')));
    },
  };
}

// The same sources must give the same bytes on every machine: names come from content
// hashes, and nothing depends on time or place.
export default defineConfig({
  base: '/admin/',
  plugins: [svelte(), sdk()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: { '/api': 'http://127.0.0.1:8080', '/healthz': 'http://127.0.0.1:8080' },
  },
});
