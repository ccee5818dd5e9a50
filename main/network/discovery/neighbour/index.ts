export { createDatagramSender } from './datagrams.ts'
export { createNeighbourReader, readLocalFile } from './read-neighbours.ts'
export { sweepNeighbours } from './sweep.ts'
