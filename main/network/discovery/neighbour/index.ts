export { createDatagramSender } from './datagrams.ts'
export { createNeighbourReader, readLocalFile } from './read-neighbours.ts'
export { sweepNeighbours, type LinkState } from './sweep.ts'
