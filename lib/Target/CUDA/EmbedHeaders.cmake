# Writes a C++ file with the texts of HEADERS to OUTPUT.
set(entries "")
foreach(header IN LISTS HEADERS)
  get_filename_component(name ${header} NAME)
  file(READ ${header} text)
  # A string literal may not be too long for a compiler: one for each piece.
  string(LENGTH "${text}" length)
  set(literals "")
  set(begin 0)
  while(begin LESS length)
    string(SUBSTRING "${text}" ${begin} 8000 piece)
    string(APPEND literals "R\"cuh(${piece})cuh\"\n")
    math(EXPR begin "${begin} + 8000")
  endwhile()
  string(APPEND entries "    {\"cambium/${name}\",\n${literals}},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"cambium/Target/CUDA/CudaEmitter.h\"

static const cambium::grow::DeviceHeader headers[] = {
${entries}};

llvm::ArrayRef<cambium::grow::DeviceHeader> cambium::grow::deviceHeaders() {
  return headers;
}
")
