import { defineConfig } from 'vite';

// Nothing is inlined: the policy that the page is served with runs no text as code. Paths are
// relative, so that the page also works below a prefix.
export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
    reportCompressedSize: false,
  },
});
