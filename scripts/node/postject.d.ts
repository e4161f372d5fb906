declare module 'postject' {
  /** Puts a resource into an executable file. */
  export function inject(
    file: string,
    name: string,
    resource: Buffer,
    options: { readonly sentinelFuse: string },
  ): Promise<void>;
}
