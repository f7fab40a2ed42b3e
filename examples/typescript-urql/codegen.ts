// SPDX-License-Identifier: EUPL-1.2
// Makes src/gql/ from the schema and from the operations in src/: their types, and the manifest of their texts.
import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: process.env.BELFRY_SCHEMA ?? '../../graphql_schema/schema.graphql', // or http://127.0.0.1:8000/schema.graphql
  documents: ['src/*.ts'],
  importExtension: '.ts',
  generates: {
    'src/gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false, persistedDocuments: { hashAlgorithm: 'sha256' } },
      config: {
        enumsAsTypes: true,
        strictScalars: true,
        useTypeImports: true,
        scalars: {
          BigInt: 'string', Date: 'string', DateTime: 'string', Decimal: 'string', Duration: 'string', Email: 'string',
          Locale: 'string', TimeZone: 'string', URL: 'string',
        },
      },
    },
  },
};

export default config;
