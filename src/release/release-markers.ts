/** The marker files that slapgrid left in a release's folder (protocol.md, "What else decides on the node"). */
export interface ReleaseMarkers {
  /** The build was finished. */
  readonly completed: boolean;
  /** Parts outside of the folder were used. */
  readonly shared: boolean;
}

/** The reasons why slapgrid itself would not upload a release with these markers. */
export function faultsOfMarkers({ completed, shared }: ReleaseMarkers): readonly string[] {
  return [
    ...(completed
      ? []
      : ['its build is not finished: the folder has no .completed, which slapgrid writes at the end']),
    ...(shared
      ? [
          'it was built with parts outside its folder (slapgrid wrote .shared): it runs only on nodes that also have those parts',
        ]
      : []),
  ];
}
