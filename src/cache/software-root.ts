/** Where SlapOS builds software releases, and nodes unpack them, unless they are configured otherwise. */
export const SOFTWARE_ROOT = '/opt/slapgrid';
