import { defineConfig } from 'vitest/config'

/** Where `.ci/run` wants the counts, as JSON. */
const report = process.env['LANDFALL_TEST_REPORT']

/** They measure time: what ran beside them would be measured as well. */
const measurements = ['checks', 'hundred-nodes', 'overhead', 'startup'].map(
  (name) => `e2e/performance/${name}.test.ts`,
)

export default defineConfig({
  test: {
    // Most of the long tests wait for processes and networks; one worker on two processors would leave one idle.
    maxWorkers: 2,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    projects: [
      {
        extends: true,
        test: {
          name: 'behaviour',
          include: ['shared/**/*.test.ts', 'main/**/*.test.ts', 'e2e/**/*.test.ts'],
          exclude: measurements,
          testTimeout: 20_000,
          hookTimeout: 60_000,
          restoreMocks: true,
          // Not 0: on two processors vitest would move a group 0 behind all others.
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'measurements',
          include: measurements,
          hookTimeout: 60_000,
          // After all others, one file at a time.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
