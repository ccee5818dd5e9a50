/** What a command of Landfall ends with (architecture: command line). */
export const exitCodes = { done: 0, failed: 1, badInput: 2, checkBlocks: 3, stopped: 4 } as const
