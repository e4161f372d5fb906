/** Options that every command has. */
export interface CommonOptions {
  readonly config?: string;
  readonly quiet?: boolean;
}
