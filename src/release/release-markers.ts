/** Which marker files slapgrid left in a release's folder (protocol.md, "What else decides on the node"). */
export interface ReleaseMarkers {
  /** The build was finished. */
  readonly completed: boolean;
  /** Parts outside of the folder were used. */
  readonly shared: boolean;
}

/** Why slapgrid itself would not hand on a release with these markers, in words; empty when it would. */
export function faultsOfMarkers({ completed, shared }: ReleaseMarkers): readonly string[] {
  return [
    ...(completed
      ? []
      : [
          'its build is not finished: slapgrid writes .completed into the folder when it is, and there is none',
        ]),
    ...(shared
      ? [
          'it was built with parts outside its folder, which is when slapgrid writes .shared: it runs only where those parts are, too',
        ]
      : []),
  ];
}
