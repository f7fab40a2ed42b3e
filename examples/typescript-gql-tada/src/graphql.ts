// SPDX-License-Identifier: EUPL-1.2
// The types of the schema, and what its scalars are here.
import { initGraphQLTada } from 'gql.tada';
import type { introspection } from './graphql-env.d.ts';

export const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: {
    BigInt: string; Date: string; DateTime: string; Decimal: string; Duration: string; Email: string;
    Locale: string; TimeZone: string; URL: string;
  };
}>();
