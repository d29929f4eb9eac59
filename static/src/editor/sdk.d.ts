declare module 'virtual:picloud-sdk' {
  const sdk: Record<string, import('./complete').SdkName[]>;
  export default sdk;
}
