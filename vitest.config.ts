import { defineConfig } from 'vitest/config'

/** Where `.ci/run` wants the counts, as JSON. */
const report = process.env['LANDFALL_TEST_REPORT']

export default defineConfig({
  test: {
    include: ['shared/**/*.test.ts', 'main/**/*.test.ts', 'e2e/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    // Files that measure time or memory, or that own the machine's network, must not share it with others.
    sequence: { concurrent: false },
  },
})
