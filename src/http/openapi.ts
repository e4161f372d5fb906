import { z } from 'zod';
import { catalogAnswer, catalogQuery, releaseAnswer } from './catalog-schema.ts';

/** The catalog in the form of OpenAPI 3.1, made from the schemas of its answers. @param version of this program */
export function openApiDocument(version: string): object {
  return {
    openapi: '3.1.0',
    info: { title: 'Catalog of a ShaCache', version },
    paths: {
      '/v1/_catalog': {
        get: {
          operationId: 'listCatalog',
          summary: 'Releases or sources in the store, by pages',
          parameters: parametersOf(z.toJSONSchema(catalogQuery, { io: 'input' })),
          responses: responsesOf('Catalog', { 400: 'wrong query' }),
        },
      },
      '/v1/releases/{key}': {
        get: {
          operationId: 'getRelease',
          summary: 'A release',
          parameters: [
            {
              name: 'key',
              in: 'path',
              required: true,
              description: 'md5 of the software URL',
              schema: { type: 'string' },
            },
          ],
          responses: responsesOf('ReleaseAnswer', { 400: 'not a key', 404: 'no release with this key' }),
        },
      },
    },
    components: { schemas: componentSchemas() },
  };
}

type JsonSchema = Readonly<Record<string, unknown>>;

/** All answers as JSON Schema, by name. */
function componentSchemas(): JsonSchema {
  const { $defs = {} } = z.toJSONSchema(z.tuple([catalogAnswer, releaseAnswer]));
  const text = JSON.stringify($defs, (name, value: unknown) =>
    name === 'maximum' && value === Number.MAX_SAFE_INTEGER ? undefined : value,
  );
  return JSON.parse(text.replaceAll('"#/$defs/', '"#/components/schemas/')) as JsonSchema;
}

function parametersOf({ properties = {} }: z.core.JSONSchema.BaseSchema): readonly object[] {
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...schema } = property as { readonly description?: string };
    return { name, in: 'query', ...(description !== undefined && { description }), schema };
  });
}

function responsesOf(schema: string, refusals: Readonly<Record<number, string>>): object {
  const texts = {
    ...refusals,
    401: 'a user name and password are required',
    403: 'the client may not read',
    503: 'there is no index, or it is not complete yet',
  };
  const text = { 'text/plain': { schema: { type: 'string' } } };
  return {
    200: {
      description: 'OK',
      headers: { ETag: { schema: { type: 'string' } } },
      content: { 'application/json': { schema: { $ref: `#/components/schemas/${schema}` } } },
    },
    304: { description: 'the client has this answer already' },
    ...Object.fromEntries(
      Object.entries(texts).map(([status, description]) => [status, { description, content: text }]),
    ),
  };
}
